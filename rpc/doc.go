// Package rpc is the JSON-RPC of ancred: its contract and a client.
//
// The contract is everything that both sides must agree on: the methods and their parameters
// ([Methods]), the types of the answers ([Info], [Entry], [Proof] and the others), the codes of
// errors ([Error]), the users and their roles ([User]), and the cookie file, by which programs of
// the same user on the same machine get in without a password ([ReadCookie]). The server is the
// package ancre/rpc/server, which a client does not link.
//
// A [Client] has a function for each method, and [Client.Call] for any other:
//
//	cookie := filepath.Join(dataDir, "mainnet", ".cookie")
//	c, err := rpc.NewCookieClient("127.0.0.1:14780", cookie)
//	...
//	entry, err := c.Submit(ctx, sha256.Sum256(document))
//
// When Submit returns, the digest is durable and entry.Proof is its pending proof. Some hours
// later, [Client.Proof] returns the complete one. Submitting the same digest again returns the same
// entry.
//
// The server speaks JSON-RPC 1.0, 1.1 and 2.0 over HTTP, as bitcoind does, and its methods about
// blocks are bitcoind's. So a Client reads the headers of bitcoind too, and bitcoind's own tools
// can ask ancred. Amounts are integers in satoshi, times are RFC 3339 in UTC, hashes are lower-case
// hexadecimal, and transaction and block hashes are in the displayed (reversed) order.
package rpc
