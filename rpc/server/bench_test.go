package server

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/rpc"
)

// body is a call of submit or submitbatch with n digests.
func benchBody(n int) []byte {
	digests := make([]string, n)
	for i := range digests {
		digests[i] = fmt.Sprintf("%064x", i)
	}
	if n == 1 {
		return []byte(`{"jsonrpc":"2.0","id":1,"method":"submit","params":["` + digests[0] + `"]}`)
	}
	return []byte(`{"jsonrpc":"2.0","id":1,"method":"submitbatch","params":[["` + strings.Join(digests, `","`) + `"]]}`)
}

// floor is a plain handler for the same request: encoding/json in and out, no credentials, no
// limits.
func floor(b *memBatcher) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		var req struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(body, &req); err != nil {
			panic(err)
		}
		var list [1][]string
		if req.Method == "submit" {
			list[0] = make([]string, 1)
			err = json.Unmarshal(req.Params, (*[1]string)(list[0]))
		} else {
			err = json.Unmarshal(req.Params, &list)
		}
		if err != nil {
			panic(err)
		}
		digests := make([][32]byte, len(list[0]))
		for i, text := range list[0] {
			if _, err := hex.Decode(digests[i][:], []byte(text)); err != nil {
				panic(err)
			}
		}
		var entries []rpc.Entry
		err = b.SubmitEach(r.Context(), digests, func(st *batcher.Status) {
			p, _ := b.Pending(*st)
			e := entryOf(st, nil)
			e.Proof = base64.StdEncoding.EncodeToString(p)
			entries = append(entries, e)
		})
		if err != nil {
			panic(err)
		}
		var answer struct {
			JSONRPC string          `json:"jsonrpc"`
			Result  any             `json:"result"`
			ID      json.RawMessage `json:"id"`
		}
		answer.JSONRPC, answer.Result, answer.ID = "2.0", entries, req.ID
		if req.Method == "submit" {
			answer.Result = entries[0]
		}
		json.NewEncoder(w).Encode(answer)
	}
}

// BenchmarkSubmit compares the server, without network and disk, with a plain handler. It reports
// the ratio as "floors": how many requests the server answers while the plain handler answers one.
func BenchmarkSubmit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			r := newRig(b)
			r.server.log = slog.New(slog.DiscardHandler)
			body := benchBody(n)
			var again bytes.Reader
			req := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(&again))
			req.ContentLength = int64(len(body))
			req.SetBasicAuth("submit", r.pass[rpc.RoleSubmit])
			w := discard{http.Header{}}
			run := func(h http.Handler) time.Duration {
				began := time.Now()
				for range b.N {
					again.Reset(body)
					clear(w.header)
					h.ServeHTTP(w, req)
				}
				return time.Since(began)
			}
			plain := run(floor(r.batcher))
			b.ResetTimer()
			b.ReportAllocs()
			ours := run(r.server)
			b.ReportMetric(float64(plain)/float64(ours), "floors")
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkDecode compares scan with decode and parseParams.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 1000} {
		body := benchBody(n)
		b.Run(fmt.Sprintf("scan-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			room := make([][32]byte, n)
			for range b.N {
				if _, ok := scan(body, room); !ok {
					b.Fatal("not taken")
				}
			}
		})
		b.Run(fmt.Sprintf("general-%d", n), func(b *testing.B) {
			b.ReportAllocs()
			table := methods()
			m := &table[min(n, 2)-1]
			for range b.N {
				calls, _, _ := split(body)
				req, _ := decode(calls[0])
				if a, err := parseParams(m, req.params); err != nil || len(a.values[0].digests) != n {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEntry(b *testing.B) {
	st := batcher.Status{Digest: [32]byte(mustHex(someDigest)), Progress: batcher.Progress{State: batcher.Open}}
	pending, _ := (&memBatcher{}).Pending(st)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for range b.N {
			dst = appendEntry(dst[:0], &st, pending)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := json.Marshal(entryOf(&st, pending)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
