// Package export writes the public page as files, for a web host that runs nothing of ours: the same
// pages with relative links, all proofs, the windows of block headers, and the check tool. Two
// exports of the same register are byte for byte the same.
package export
