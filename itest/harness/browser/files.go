package browser

import (
	"context"
	"path/filepath"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Upload gives files to an input of type file, as its dialogue would.
func (t *Tab) Upload(selector string, files ...string) {
	t.Helper()
	_, err := command(t, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: t.absolute(files), ObjectID: t.object(selector)})
	t.must("upload to "+selector, err)
}

// Choose does something that opens the dialogue for files, such as a key, and chooses files in it.
func (t *Tab) Choose(open func(), files ...string) {
	t.Helper()
	_, err := command(t, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true})
	t.must("wait for the dialogue", err)
	defer func() {
		_, _ = command(t, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{})
	}()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	opened, err := chromedp.Run(ctx, chromedp.WaitEvent(page.FileChooserOpened, func(page.EventFileChooserOpened) bool { return true },
		chromedp.Func(func(context.Context, *chromedp.Target) error { open(); return nil })))
	t.must("wait for the dialogue of files", err)
	_, err = command(t, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: t.absolute(files), BackendNodeID: opened.BackendNodeID})
	t.must("choose files", err)
}

// Drop drags files from the desktop and drops them on an element.
func (t *Tab) Drop(selector string, files ...string) {
	t.Helper()
	x, y := t.middle(selector)
	const copying = 1
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: t.absolute(files), DragOperationsMask: copying}
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		_, err := command(t, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: x, Y: y, Data: data})
		t.must("drop on "+selector, err)
	}
}

func (t *Tab) absolute(files []string) []string {
	t.Helper()
	all := make([]string, len(files))
	for i, name := range files {
		path, err := filepath.Abs(name)
		t.must("find "+name, err)
		all[i] = path
	}
	return all
}
