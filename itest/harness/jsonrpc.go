package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// RPCError is the error object of a JSON-RPC answer.
type RPCError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Status  int    `json:"-"` // of HTTP
}

func (e *RPCError) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// rpcClient speaks JSON-RPC 1.0 over HTTP with Basic auth, to the Bitcoin nodes and to ancred:
// ancred promises to accept the same.
type rpcClient struct {
	url  string
	http http.Client
	auth func() (user, password string, err error)
}

func newRPCClient(addr string, auth func() (string, string, error)) *rpcClient {
	// Keep-alive would hold connections to a program that is killed and started again on the same
	// port.
	return &rpcClient{
		url:  "http://" + addr + "/",
		auth: auth,
		http: http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// call calls a method, and decodes the answer into result unless that is nil.
func (c *rpcClient) call(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	user, password, err := c.auth()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(user, password)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *RPCError       `json:"error"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%s: HTTP status %s, and no JSON: %.200q", method, resp.Status, raw)
	}
	if answer.Error != nil {
		answer.Error.Status = resp.StatusCode
		return fmt.Errorf("%s: %w", method, answer.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("%s: %w in %.200s", method, err, answer.Result)
	}
	return nil
}
