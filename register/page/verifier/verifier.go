// Package verifier is the part of the public page that runs in a visitor's browser: it hashes a
// file, walks its proof, checks windows of block headers, and says what the file is worth. The
// visitor then trusts no server, ours included.
//
// verifier.ts is the core: pure, one file. It judges the same bytes in the same way as the Go
// packages proof, proof/receipt and headers.
package verifier
