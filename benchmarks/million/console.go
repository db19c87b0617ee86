package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// record is what the guest tells the host in one line of its console: "@million ", a checksum, and JSON. The kernel writes to
// the same console, and may do so in the middle of a line: hence the checksum.
type record struct {
	Progress string  `json:"progress,omitempty"`
	Result   *result `json:"result,omitempty"`
}

const recordMark = "@million "

// write writes the record as a line of its own.
func (r record) write(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s%08x %s\n", recordMark, crc32.ChecksumIEEE(b), b)
	return err
}

// parseRecord finds a record in a line. Other lines, and damaged ones, are not ok.
func parseRecord(line string) (r record, ok bool) {
	_, rest, ok := strings.Cut(line, recordMark)
	if !ok {
		return r, false
	}
	sum, body, ok := strings.Cut(strings.TrimRight(rest, "\r\n"), " ")
	if !ok || sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) {
		return r, false
	}
	return r, json.Unmarshal([]byte(body), &r) == nil
}

// readConsole hands on the records of a console until its end, and copies everything to log. It returns the last result, nil
// if there was none.
func readConsole(console io.Reader, log io.Writer, say func(format string, a ...any)) (*result, error) {
	var last *result
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadString('\n')
		if _, err := io.WriteString(log, line); err != nil {
			return last, err
		}
		if r, ok := parseRecord(line); ok {
			if r.Progress != "" {
				say("%s", r.Progress)
			}
			if r.Result != nil {
				last = r.Result
			}
		}
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return last, err
		}
	}
}
