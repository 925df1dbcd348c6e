package register

import "log/slog"

// windows keeps windows of block headers on disk.
type windows struct {
	node Node
	dir  string
	log  *slog.Logger
}

func newWindows(node Node, dir string, log *slog.Logger) *windows { return &windows{node, dir, log} }
