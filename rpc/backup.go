package rpc

import (
	"context"
	"io"
)

// backupPath is where a backup comes from.
const backupPath = "/backup"

// backupDownload is for an administrator, one at a time.
func backupDownload() *download {
	return &download{
		what:   "backup",
		are:    "a backup is",
		roles:  adminOnly,
		places: make(chan struct{}, 1),
		busy:   "another backup is running: wait for its end",
		absent: "this server has no store to back up",
		of:     func(s *Services) func(context.Context, io.Writer) error { return s.Backup },
	}
}

// Backup asks the server for a backup of its store, in the format of the package
// ancre/batcher/store/backup. The caller closes what it returns; reading it fails with the server's
// reason when that could not go on. Whether it is whole only its own end tells.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.fetch(ctx, backupPath, "backup")
}
