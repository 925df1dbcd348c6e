// Package verifier is the part of the public page that runs in a visitor's browser: it hashes a
// file, walks its proof, checks windows of block headers, and says what the file is worth. The
// visitor then trusts no server, ours included.
//
// verifier.ts is the core: pure, one file. It judges the same bytes in the same way as the Go
// packages proof, proof/receipt and headers. "make verifier" bundles it with the files beside it
// into dist/, which is committed and embedded here.
package verifier

import (
	"crypto/sha512"
	"embed"
	"encoding/base64"
)

//go:embed dist
var dist embed.FS

// The scripts that are embedded.
const (
	Tool = "ancre-verify.js" // the check tool: the page's only script, which is also its worker
	Core = "verifier.js"     // the core alone, as a module, for tests and for other programs
)

// Script returns one of the embedded scripts. Its bytes must not be changed.
func Script(name string) []byte {
	b, err := dist.ReadFile("dist/" + name)
	if err != nil {
		panic(err) // a test holds that each is there
	}
	return b
}

// Licenses returns the licences of everything that the scripts contain.
func Licenses() []byte { return Script("LICENSES.txt") }

// Integrity returns the value of the attribute "integrity" of the element that loads a script. The
// browser then runs exactly this script, whatever a server sends.
func Integrity(script []byte) string {
	sum := sha512.Sum384(script)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
