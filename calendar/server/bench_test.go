package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// instantBatcher answers at once, with something of the usual length.
type instantBatcher struct{ Batcher }

func (instantBatcher) SubmitMessage(_ context.Context, dst, message []byte) ([]byte, error) {
	return append(append(dst, message...), make([]byte, 60)...), nil
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkDigest is what POST /digest costs in the server, without network and disk, with and
// without a limit for each address.
func BenchmarkDigest(b *testing.B) {
	for name, limit := range map[string]int{"limited": 1 << 30, "unlimited": 0} {
		b.Run(name, func(b *testing.B) {
			s := New(Config{URI: testURI, RateLimit: limit})
			s.Provide(Services{Batcher: instantBatcher{}})
			message := make([]byte, 32)
			var body bytes.Reader
			r := httptest.NewRequest(http.MethodPost, "/digest", io.NopCloser(&body))
			r.ContentLength = int64(len(message))
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(message)
				clear(w.header)
				s.ServeHTTP(w, r)
			}
		})
	}
}
