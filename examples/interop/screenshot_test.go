package interop

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// screenshot writes a picture of a page to the folder MYRIAD_SCREENSHOTS, if that is set. prepare
// is called when the page has its size, and may be nil.
func screenshot(t *testing.T, tab context.Context, name string, width, height int64, prepare func()) {
	t.Helper()
	folder := os.Getenv("MYRIAD_SCREENSHOTS")
	if folder == "" {
		return
	}
	var b []byte
	do(t, tab, "resize", chromedp.EmulateViewport(width, height))
	if prepare != nil {
		prepare()
	}
	do(t, tab, "take a picture", chromedp.CaptureScreenshot(&b))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), b, 0o644); err != nil {
		t.Error(err)
	}
}
