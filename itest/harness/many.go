package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Request is one call of CallMany.
type Request struct {
	Method string
	Params []any
}

// Answer is the answer to one call of CallMany: Result, or Err.
type Answer struct {
	Result json.RawMessage
	Err    *RPCError
}

// CallMany makes many calls of the daemon in one array, and returns the answers in the order of the
// calls. The daemon takes at most 1,000 at a time. The error is that of the array as a whole: each
// answer has an error of its own.
func (d *Daemon) CallMany(ctx context.Context, requests []Request) ([]Answer, error) {
	return d.rpc.many(ctx, requests)
}

func (c *rpcClient) many(ctx context.Context, requests []Request) ([]Answer, error) {
	type call struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  []any  `json:"params"`
	}
	calls := make([]call, len(requests))
	for i, r := range requests {
		calls[i] = call{Version: "2.0", ID: i, Method: r.Method, Params: append([]any{}, r.Params...)}
	}
	body, err := json.Marshal(calls)
	if err != nil {
		return nil, err
	}
	user, password, err := c.auth()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(user, password)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var parts []struct {
		ID     *int            `json:"id"`
		Result json.RawMessage `json:"result"`
		Error  *RPCError       `json:"error"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, fmt.Errorf("an array of %d calls: HTTP status %s, and no array: %.200q", len(requests), resp.Status, raw)
	}
	answers, given := make([]Answer, len(requests)), make([]bool, len(requests))
	for _, p := range parts {
		if p.ID == nil || *p.ID < 0 || *p.ID >= len(answers) || given[*p.ID] {
			return nil, fmt.Errorf("an array of %d calls: an answer that was not asked for, or twice: %.200q", len(requests), raw)
		}
		answers[*p.ID], given[*p.ID] = Answer{Result: p.Result, Err: p.Error}, true
	}
	if len(parts) != len(requests) {
		return nil, fmt.Errorf("an array of %d calls: %d answers", len(requests), len(parts))
	}
	return answers, nil
}
