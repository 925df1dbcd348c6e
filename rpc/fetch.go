package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ancre/internal/humanize"

	"github.com/btcsuite/btcd/wire/v2"
)

// Downloads that are too large for an answer. Each has a path of its own beside JSON-RPC's, takes a
// GET with the same credentials, and is streamed.
const (
	PathBackup  = "/backup"  // a backup of the store; for RoleAdmin
	PathHeaders = "/headers" // the headers of all blocks, 80 bytes each from the first block on; for RoleRead. See also HeaderRange

	// MaxHeaderRange is how many headers [Client.HeaderRange] may ask for at once: as many as a
	// window of the package ancre/headers has.
	MaxHeaderRange = 4096

	// ErrorTrailer is the HTTP trailer that says why a download ended too early. The body then ends
	// without its last record, or the connection breaks: a client can see without the trailer that
	// the download is not whole.
	ErrorTrailer = "Ancre-Error"
)

// Backup asks the server for a backup of its store, in the format of the package
// ancre/batcher/store/backup. The caller closes the reader. If the server could not go on, reading
// fails with the server's reason. Only the end of the backup itself shows that it is whole.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return asReader(c.fetch(ctx, PathBackup, "backup"))
}

// Headers asks the server for the headers of its active chain, 80 bytes each from the first block
// on. The caller closes the reader and checks the headers (see the package ancre/headers). If the
// server could not go on, reading fails with the server's reason.
func (c *Client) Headers(ctx context.Context) (io.ReadCloser, error) {
	return asReader(c.fetch(ctx, PathHeaders, "headers"))
}

// asReader keeps a nil pointer out of the interface.
func asReader(b *streamBody, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// HeaderRange asks the server for count headers of its active chain from height first on, 80 bytes
// each. There are fewer if the chain ends before. The caller checks them (see the package
// ancre/headers). If the newest block is below first, the error has [CodeInvalidParameter].
func (c *Client) HeaderRange(ctx context.Context, first int64, count int) ([]byte, error) {
	if first < 0 || count < 1 || count > MaxHeaderRange {
		return nil, fmt.Errorf("%d headers from height %d on: from 1 to %d headers from a height of 0 or more can be had", count, first, MaxHeaderRange)
	}
	body, err := c.fetch(ctx, fmt.Sprintf("%s?first=%d&count=%d", PathHeaders, first, count), "headers")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	length := body.resp.ContentLength
	if length < wire.MaxBlockHeaderPayload || length > int64(count)*wire.MaxBlockHeaderPayload || length%wire.MaxBlockHeaderPayload != 0 {
		return nil, fmt.Errorf("%s does not send a range of headers, only all of them: is it an older ancred?", c.url)
	}
	raw := make([]byte, length)
	_, err = io.ReadFull(body, raw)
	return raw, err
}

// fetch starts a download. what names it in errors.
func (c *Client) fetch(ctx context.Context, path, what string) (*streamBody, error) {
	resp, err := c.get(ctx, path, false)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && c.find != nil {
		// The server has restarted since the cookie was read.
		resp.Body.Close()
		resp, err = c.get(ctx, path, true)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/octet-stream" {
		return &streamBody{ReadCloser: resp.Body, ctx: ctx, client: c, resp: resp, what: what}, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf("%s refuses the credentials (401): check the user and the password, or the cookie file%s", c.url, c.source)
	}
	const enough = 64 << 10
	text, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	var a struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(text, &a) == nil && a.Error != nil {
		return nil, a.Error
	}
	return nil, fmt.Errorf("%s answers with HTTP status %d and no %s: is it the address of another service, or of an older ancred? It says %q",
		c.pathURL(path), resp.StatusCode, what, humanize.Clip(string(text)))
}

func (c *Client) pathURL(path string) string { return strings.TrimSuffix(c.url, "/") + path }

func (c *Client) get(ctx context.Context, path string, refresh bool) (*http.Response, error) {
	user, pass, err := c.credentials(refresh)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.pathURL(path), nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(user, pass)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return resp, nil
}

// streamBody is the body of a download. Its errors say why it ended too early.
type streamBody struct {
	io.ReadCloser
	ctx    context.Context
	client *Client
	resp   *http.Response
	what   string
}

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case b.ctx.Err() != nil:
		err = b.ctx.Err()
	case errors.Is(err, io.EOF):
		if reason := b.resp.Trailer.Get(ErrorTrailer); reason != "" {
			err = fmt.Errorf("%s could not go on with the %s: %s", b.client.url, b.what, reason)
		}
	default:
		err = fmt.Errorf("the connection to %s broke in the middle of the %s: %w; %s", b.client.url, b.what, err, b.client.Hint)
	}
	return n, err
}
