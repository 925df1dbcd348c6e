package rpc

import (
	"context"
	"fmt"
	"io"
)

// headersPath is where all block headers come from, as they are: 80 bytes each, from the first
// block on. The client checks each (see the package ancre/headers), and that the body did not break
// off.
const headersPath = "/headers"

// maxExports is how many may fetch all headers at once.
const maxExports = 4

// headersDownload is for whoever may read.
func headersDownload() *download {
	return &download{
		what:   "headers",
		are:    "all headers are",
		roles:  forRead,
		places: make(chan struct{}, maxExports),
		busy:   fmt.Sprintf("%d others are fetching headers: try again later", maxExports),
		absent: "this server has no file of headers",
		of:     func(s *Services) func(context.Context, io.Writer) error { return s.Headers },
	}
}

// Headers asks the server for the headers of its active chain, 80 bytes each from the first block
// on. The caller closes what it returns, and checks the headers; reading it fails with the server's
// reason when that could not go on.
func (c *Client) Headers(ctx context.Context) (io.ReadCloser, error) {
	return c.fetch(ctx, headersPath, "headers")
}
