package rpc_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"ancre/rpc"
)

// fakeDaemon answers calls as ancred does: with the result of each method, or an error.
func fakeDaemon(results map[string]string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := fmt.Sprintf(`"result":%s`, results[call.Method])
		if results[call.Method] == "" {
			answer = fmt.Sprintf(`"error":{"code":%d,"message":"the digest was never submitted here"}`, rpc.CodeNotFound)
		}
		io.WriteString(w, fmt.Sprintf(`{"jsonrpc":"2.0",%s,"id":%s}`, answer, call.ID))
	}))
}

// A program submits the SHA-256 of a document and gets its pending proof at once. Later it asks for
// the complete one.
func Example() {
	daemon := fakeDaemon(map[string]string{
		rpc.MethodSubmit:   `{"digest":"d1","state":"open","batch":7,"index":0,"proof":"AE9w"}`,
		rpc.MethodGetProof: `{"digest":"d1","state":"final","batch":7,"index":0,"height":900000,"format":"ots","complete":true,"proof":"AE9w"}`,
	})
	defer daemon.Close()
	ctx := context.Background()

	// On the daemon's machine: rpc.NewCookieClient("127.0.0.1:14780", path of the cookie file).
	c, err := rpc.NewClient(daemon.URL, "clerk", "password")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	digest := sha256.Sum256([]byte("the document"))
	entry, err := c.Submit(ctx, digest)
	if err != nil {
		log.Fatal(err) // nothing was accepted
	}
	fmt.Println("durable, in batch", entry.Batch, "which is", entry.State)

	proof, err := c.Proof(ctx, digest, rpc.FormatOTS)
	if err != nil {
		log.Fatal(err)
	}
	if proof.Complete {
		fmt.Println("complete, in block", proof.Height)
	}
	// Output:
	// durable, in batch 7 which is open
	// complete, in block 900000
}

// A caller decides by the code of an error. The message is for a person.
func ExampleHasCode() {
	daemon := fakeDaemon(nil)
	defer daemon.Close()
	c, err := rpc.NewClient(daemon.URL, "clerk", "password")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.Status(context.Background(), [32]byte{1})
	switch {
	case rpc.HasCode(err, rpc.CodeNotFound):
		fmt.Println("submit it first:", err)
	case errors.Is(err, rpc.ErrUnreachable):
		fmt.Println("start the daemon:", err)
	case err != nil:
		log.Fatal(err)
	}
	// Output: submit it first: the digest was never submitted here
}

// Call reaches methods that have no function of their own, such as those of bitcoind. ParseArgs
// turns words from a command line into parameters.
func ExampleParseArgs() {
	for _, words := range [][]string{{"getblockhash", "1000"}, {"getblockheader", "00ff", "false"}, {"submit", "12"}} {
		params, err := json.Marshal(rpc.ParseArgs(words[0], words[1:]))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", words[0], params)
	}
	// Output:
	// getblockhash [1000]
	// getblockheader ["00ff",false]
	// submit ["12"]
}

// The line goes into the configuration of ancred, the password to the user.
func ExampleNewUser() {
	line, password, err := rpc.NewUser("clerk", rpc.RoleSubmit)
	if err != nil {
		log.Fatal(err)
	}
	user, err := rpc.ParseUser(line)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Name, user.Roles, user.HasPassword(password), user.HasPassword("guess"))
	// Output: clerk submit true false
}
