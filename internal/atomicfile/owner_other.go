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

// GroupOf returns false: this system has no groups in the sense of Unix.
func GroupOf(fs.FileInfo) (gid int, ok bool) { return 0, false }

// GroupName returns the ID.
func GroupName(gid int) string { return "group " + strconv.Itoa(gid) }

func ownerText(fs.FileInfo) string { return "" }

func userText() string { return "another user" }
