//go:build linux

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// historyFile has the recorded figures, one in each line.
const historyFile = "../docs/benchmarks/history.csv"

var columns = []string{"date", "commit", "figure", "value", "cpu"}

// line is a line of the history.
type line struct {
	date, commit, figure string
	value                float64
	cpu                  string // the processor's model
}

// record adds the figures to a history. It fails if one was skipped.
func record(file string, all []checked) error {
	date, cpu := time.Now().UTC().Format("2006-01-02 15:04"), processor()
	commit, err := measured()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	if at, err := f.Seek(0, io.SeekEnd); err == nil && at == 0 {
		w.Write(columns)
	}
	for _, c := range all {
		if c.skipped != "" {
			return fmt.Errorf("not recorded: %s was skipped: %s", c.name, c.skipped)
		}
		w.Write([]string{date, commit, c.name, strconv.FormatFloat(c.value, 'g', 4, 64), cpu})
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}

// measured returns the last commit that changed what is measured, with a + if there are uncommitted
// changes.
func measured() (string, error) {
	parts := []string{"--", ":/go.mod", ":/engine", ":/wsproto", ":/codec", ":/examples", ":/benchmarks/wsserver"}
	log := append([]string{"log", "-1", "--format=%h", "--abbrev=12"}, parts...)
	commit, err := exec.Command("git", log...).Output()
	if err != nil || len(commit) == 0 {
		return "", fmt.Errorf("cannot find the measured commit with git: %w", err)
	}
	version := strings.TrimSpace(string(commit))
	if exec.Command("git", append([]string{"diff", "--quiet", "HEAD"}, parts...)...).Run() != nil {
		version += "+"
	}
	return version, nil
}

// processor returns the model of this machine's processor.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// readHistory reads all lines. A missing file has none.
func readHistory(file string) (lines []line, err error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(records) == 0 || !slices.Equal(records[0], columns) {
		return nil, fmt.Errorf("%s: the first line is not %s", file, strings.Join(columns, ","))
	}
	for i, r := range records[1:] {
		value, err := strconv.ParseFloat(r[3], 64)
		_, bad := time.Parse("2006-01-02 15:04", r[0])
		if bad != nil || err != nil || r[1] == "" || r[2] == "" || r[4] == "" {
			return nil, fmt.Errorf("%s:%d: %q is not a record", file, i+2, r)
		}
		lines = append(lines, line{r[0], r[1], r[2], value, r[4]})
	}
	return lines, nil
}

// last returns the lines of the latest record.
func last(lines []line) []line {
	for i := len(lines); i > 0; i-- {
		if end := lines[len(lines)-1]; lines[i-1].date != end.date || lines[i-1].commit != end.commit {
			return lines[i:]
		}
	}
	return lines
}
