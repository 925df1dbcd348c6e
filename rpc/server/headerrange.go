package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"ancre/headers"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// serveHeaderRange answers GET /headers?first=H&count=N: up to N headers of the active chain from
// height H on, for a window. They are few enough to be in memory, so that a client sees by the
// length whether the answer is whole.
func (s *Server) serveHeaderRange(w http.ResponseWriter, services *Services, query url.Values) {
	raw, err := headerRange(services.Chain, query)
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	_, _ = w.Write(raw) // a client that has gone sees that it is cut short
}

// headerRange reads the headers that a query names. They end with the newest block.
func headerRange(chain Chain, query url.Values) ([]byte, error) {
	first, err := queryNumber(query, "first", 0, 1<<31-1)
	if err != nil {
		return nil, err
	}
	count, err := queryNumber(query, "count", 1, rpc.MaxHeaderRange)
	if err != nil {
		return nil, err
	}
	best, _, err := chain.Best()
	if err != nil {
		return nil, err
	}
	if first > int64(best) {
		return nil, errorf(rpc.CodeInvalidParameter, "Block height out of range: %d; the newest block is %d", first, best)
	}
	last := min(first+count-1, int64(best))
	raw := make([]byte, 0, (last-first+1)*headers.Size)
	var prev chainhash.Hash
	for height := first; height <= last; height++ {
		h, err := chain.HeaderAt(int32(height))
		if err != nil {
			return nil, err
		}
		if height > first && h.PrevBlock != prev {
			return nil, errorf(rpc.CodeMisc, "the chain was reorganised at block %d while its headers were read: try again", height)
		}
		raw, prev = append(raw, headers.Raw(&h)...), h.BlockHash()
	}
	return raw, nil
}

// queryNumber reads a number that must be in the query once.
func queryNumber(query url.Values, name string, least, most int64) (int64, error) {
	if len(query[name]) == 1 {
		if n, err := strconv.ParseInt(query[name][0], 10, 64); err == nil && n >= least && n <= most {
			return n, nil
		}
	}
	return 0, errorf(rpc.CodeInvalidParameter, "%s: want one number from %d to %d, as in %s", name, least, most, fmt.Sprintf("%s?first=800000&count=100", rpc.PathHeaders))
}
