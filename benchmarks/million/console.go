package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// record is a message of the guest to the host, in one line of its console: "@million ", a
// checksum, and JSON. The checksum is needed because the kernel may write to the console within the
// line.
type record struct {
	Progress string  `json:"progress,omitempty"`
	Result   *result `json:"result,omitempty"`
}

const recordMark = "@million "

// write writes the record as a line.
func (r record) write(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s%08x %s\n", recordMark, crc32.ChecksumIEEE(b), b)
	return err
}

// parseRecord finds a record in a line. ok is false for other and damaged lines.
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

// readConsole passes the progress in a console's records to say, and copies everything to log. At
// the end of the console it returns the last result, or nil if there was none.
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
