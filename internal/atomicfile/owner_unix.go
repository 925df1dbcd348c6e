//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// OwnerOf returns the ID of the user to whom something belongs.
func OwnerOf(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// UserName returns the name of a user, or the ID if there is no such user.
func UserName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// GroupOf returns the ID of the group to which something belongs.
func GroupOf(info fs.FileInfo) (gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Gid), true
}

// GroupName returns the name of a group, or the ID if there is no such group.
func GroupName(gid int) string {
	id := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return "group " + id
}

func ownerText(info fs.FileInfo) string {
	uid, ok := OwnerOf(info)
	gid, ok2 := GroupOf(info)
	if !ok || !ok2 {
		return ""
	}
	return " and belongs to " + UserName(uid) + ":" + GroupName(gid)
}

func userText() string { return UserName(os.Geteuid()) }
