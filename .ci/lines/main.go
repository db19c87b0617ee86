// Lines reports lines that are too long: prose and comments over 100 columns, code over 120. A tab
// goes on to the next multiple of four columns.
//
//   - A line of Go, C or shell that ends in a comment counts as a comment, any other as code.
//   - Markdown is prose, except fenced and indented blocks, which are code.
//   - Not looked at: tables, link definitions and what has no space to break at (a URL) in
//     markdown, directives in Go, what lies in testdata, templates, and generated files: a comment
//     in them says so, "Code generated ... DO NOT EDIT." or, in markdown, "Made by ...".
//
// The arguments are files; other kinds of files are ignored.
package main

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	maxProse = 100
	maxCode  = 120
)

func main() {
	found := 0
	for _, name := range os.Args[1:] {
		src, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		for _, l := range long(name, src) {
			fmt.Printf("%s:%d: %d columns of %v, at most %d\n", name, l.number, l.width, l.kind, l.kind.limit())
			found++
		}
	}
	if found > 0 {
		fmt.Printf("%d lines are too long\n", found)
		os.Exit(1)
	}
}

// kind is what a line is.
type kind uint8

const (
	code  kind = iota
	prose      // also comments
	exempt
)

func (k kind) limit() int {
	if k == prose {
		return maxProse
	}
	return maxCode
}

func (k kind) String() string {
	return [...]string{code: "code", prose: "prose or comment", exempt: "anything"}[k]
}

// line is a line that is too long.
type line struct {
	number, width int
	kind          kind
}

var generated = regexp.MustCompile(`(?m)^((//|#) Code generated .* DO NOT EDIT\.|<!-- Made by .* -->)$`)

// long returns the lines of a file that are too long.
func long(name string, src []byte) (found []line) {
	lines := strings.Split(string(src), "\n")
	kinds := classify(name, src, lines)
	if kinds == nil || generated.Match(src) || slices.Contains(strings.Split(filepath.ToSlash(name), "/"), "testdata") {
		return nil
	}
	for i, l := range lines {
		if w := width(l); kinds[i] != exempt && w > kinds[i].limit() {
			found = append(found, line{i + 1, w, kinds[i]})
		}
	}
	return found
}

// classify returns what each line of a file is, nil if the file is not of a kind that has rules.
func classify(name string, src []byte, lines []string) []kind {
	switch filepath.Ext(name) {
	case ".go":
		return goKinds(src, lines)
	case ".md":
		return markdownKinds(lines)
	case ".c", ".h", ".s":
		return commentKinds(lines, "//")
	case ".sh":
		return commentKinds(lines, "#")
	}
	if bytes.HasPrefix(src, []byte("#!")) {
		return commentKinds(lines, "#")
	}
	return nil
}

var directive = regexp.MustCompile(`^//([a-z0-9]+:[a-z0-9]|line |extern |export )`)

func goKinds(src []byte, lines []string) []kind {
	kinds := make([]kind, len(lines))
	file := token.NewFileSet().AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return kinds
		}
		if tok != token.COMMENT {
			continue
		}
		first := file.PositionFor(pos, false).Line - 1
		for i := range strings.Split(text, "\n") {
			kinds[first+i] = prose
		}
		if directive.MatchString(text) {
			kinds[first] = exempt
		}
	}
}

// commentKinds is for languages in which a comment begins with a mark and goes on to the line's
// end.
func commentKinds(lines []string, mark string) []kind {
	kinds := make([]kind, len(lines))
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), mark) || strings.Contains(l, " "+mark+" ") {
			kinds[i] = prose
		}
	}
	return kinds
}

var (
	linkDefinition = regexp.MustCompile(`^\[[^\]]*\]: `)
	listMark       = regexp.MustCompile(`^([-*+>]|[0-9]+[.)]) +`)
)

func markdownKinds(lines []string) []kind {
	kinds := make([]kind, len(lines))
	fence, inList, blank := "", false, true
	for i, l := range lines {
		text := strings.TrimSpace(l)
		indented := strings.HasPrefix(l, "    ") || strings.HasPrefix(l, "\t")
		switch {
		case fence != "":
			if strings.HasPrefix(text, fence) {
				fence = ""
			}
		case strings.HasPrefix(text, "```") || strings.HasPrefix(text, "~~~"):
			fence = text[:3]
		case text == "":
		case blank && indented && !inList:
			kinds[i] = code
			continue // the next line may be code, too, without a blank line between
		case strings.HasPrefix(text, "|"), linkDefinition.MatchString(text),
			!strings.Contains(listMark.ReplaceAllString(text, ""), " "):
			kinds[i] = exempt
		default:
			kinds[i] = prose
			if listMark.MatchString(text) {
				inList = true
			} else if blank && l == text {
				inList = false
			}
		}
		blank = text == ""
	}
	return kinds
}

func width(l string) int {
	n := 0
	for _, r := range l {
		if r == '\t' {
			n += 4 - n%4
		} else {
			n++
		}
	}
	return n
}
