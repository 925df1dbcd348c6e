package daemon

import (
	"context"
	"io"

	"ancre/register/page/export"
)

// exporter returns what writes the public page as an archive; nil if there is no page.
func (d *daemon) exporter() func(context.Context, io.Writer) error {
	if d.page == nil {
		return nil
	}
	return func(ctx context.Context, w io.Writer) error {
		archive := export.NewArchive(w)
		if err := export.Write(ctx, d.page, archive, nil); err != nil {
			return err
		}
		return archive.Close()
	}
}
