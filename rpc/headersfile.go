package rpc

import (
	"context"
	"io"
	"net/http"
)

// headersPath is where all block headers come from, as they are: 80 bytes each, from the first block on. They are streamed as a backup is, to whoever may
// read. The client checks each (see the package ancre/headers), and that the body did not break off.
const headersPath = "/headers"

// serveHeaders streams the headers of the active chain.
func (s *Server) serveHeaders(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "headers are fetched with GET", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	services := s.services.Load()
	switch {
	case user.Role != RoleAdmin && user.Role != RoleRead:
		s.refuse(w, http.StatusForbidden, errorf(CodeForbidden, "all headers are for the role %s or %s; the user %s has the role %s", RoleRead, RoleAdmin, user.Name, user.Role))
		return
	case services == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeStarting, "ancred is starting: %s", *s.phase.Load()))
		return
	case services.Headers == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeMisc, "this server has no file of headers"))
		return
	}
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	default:
		s.refuse(w, http.StatusServiceUnavailable, errorf(CodeBusy, "%d others are fetching headers: try again later", cap(s.exports)))
		return
	}
	s.stream(w, r, user, "headers", services.Headers)
}

// Headers asks the server for the headers of its active chain, 80 bytes each from the first block on. The caller closes what it returns, and checks the
// headers; reading it fails with the server's reason when that could not go on.
func (c *Client) Headers(ctx context.Context) (io.ReadCloser, error) {
	return c.fetch(ctx, headersPath, "headers")
}
