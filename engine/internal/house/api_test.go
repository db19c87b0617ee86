package house

import (
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api.txt anew")

// TestAPI compares the exported identifiers of every public package with docs/api.txt, so that the
// API changes by decision only.
func TestAPI(t *testing.T) {
	golden := filepath.Join(root, "docs", "api.txt")
	got := publicAPI(t)
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in docs/api.txt: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("only in docs/api.txt: %s", line)
		}
	}
	if t.Failed() {
		t.Log("If the change is meant: go test ./engine/internal/house -update, and a line in docs/CHANGELOG.md.")
	}
}

// publicAPI returns a line for each exported identifier of the root module's public packages, sorted.
func publicAPI(t *testing.T) (lines []string) {
	t.Helper()
	walk(t, func(folder string, files []string) {
		if !slices.Contains(strings.Split(folder, "/"), "internal") {
			lines = append(lines, packageAPI(t, folder, files)...)
		}
	})
	slices.Sort(lines)
	return slices.Compact(lines)
}

// packageAPI returns the lines of one package. Files for other systems count, too.
func packageAPI(t *testing.T, folder string, names []string) []string {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, filepath.Join(root, folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name.Name == "main" {
			return nil
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, folder)
	if err != nil {
		t.Fatal(err)
	}
	w := apiWriter{fset: fset, prefix: folder + ": "}
	w.values("const", p.Consts)
	w.values("var", p.Vars)
	w.funcs(p.Funcs)
	for _, typ := range p.Types {
		w.values("const", typ.Consts)
		w.values("var", typ.Vars)
		w.funcs(typ.Funcs)
		w.funcs(typ.Methods)
		w.typ(typ)
	}
	return w.lines
}

type apiWriter struct {
	fset   *token.FileSet
	prefix string
	lines  []string
}

func (w *apiWriter) add(parts ...string) {
	w.lines = append(w.lines, w.prefix+strings.Join(parts, " "))
}

// source returns a node as it is printed, in one line.
func (w *apiWriter) source(node any) string {
	var b strings.Builder
	printer.Fprint(&b, w.fset, node) // a Builder gives no error
	return strings.Join(strings.Fields(b.String()), " ")
}

func (w *apiWriter) values(kind string, values []*doc.Value) {
	for _, v := range values {
		for _, name := range v.Names {
			if ast.IsExported(name) {
				w.add(kind, name)
			}
		}
	}
}

func (w *apiWriter) funcs(funcs []*doc.Func) {
	for _, f := range funcs {
		decl := *f.Decl
		decl.Doc, decl.Body = nil, nil
		w.add(w.source(&decl))
	}
}

// typ adds a line for the type and one for each exported field or method of a struct or interface.
func (w *apiWriter) typ(t *doc.Type) {
	for _, s := range t.Decl.Specs {
		spec := s.(*ast.TypeSpec)
		if spec.Name.Name != t.Name {
			continue
		}
		var fields *ast.FieldList
		switch u := spec.Type.(type) {
		case *ast.StructType:
			fields = u.Fields
			w.add("type", t.Name, "struct")
		case *ast.InterfaceType:
			fields = u.Methods
			w.add("type", t.Name, "interface")
		default:
			plain := *spec
			plain.Doc, plain.Comment = nil, nil
			w.add("type", w.source(&plain))
			continue
		}
		for _, f := range fields.List {
			if len(f.Names) == 0 { // embedded
				w.add("type", t.Name+",", w.source(f.Type))
			}
			for _, n := range f.Names {
				if n.IsExported() {
					w.add("type", t.Name+",", n.Name, w.source(f.Type))
				}
			}
		}
	}
}
