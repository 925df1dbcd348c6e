//go:build !unix

package atomicfile

import (
	"io/fs"
	"strconv"
)

// OwnerOf returns false: this system has no owners in the sense of Unix.
func OwnerOf(fs.FileInfo) (uid int, ok bool) { return 0, false }

// UserName returns the ID.
func UserName(uid int) string { return "user " + strconv.Itoa(uid) }

func ownerText(fs.FileInfo) string { return "" }

func userText() string { return "another user" }
