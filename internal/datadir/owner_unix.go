//go:build unix

package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// AsOwner calls do, which works in a data directory. If root calls it and the directory belongs to
// another user, such as the daemon's, then do runs as that user. Otherwise the daemon could not
// open what root made. And the owner of the directory cannot have root write anywhere else,
// whatever links are in it. A directory that is not there yet belongs to the owner of the nearest
// one above it.
//
// The user of the whole process changes meanwhile, so nothing else may be going on.
func AsOwner(dir string, do func() error) (err error) {
	uid, gid, ok := ownerOf(dir)
	if !ok {
		return do()
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	back := func() error {
		return errors.Join(syscall.Seteuid(0), syscall.Setegid(os.Getgid()), syscall.Setgroups(groups))
	}
	defer func() { err = errors.Join(err, back()) }()
	if err := errors.Join(syscall.Setgroups(groupsOf(uid, gid)), syscall.Setegid(gid), syscall.Seteuid(uid)); err != nil {
		return fmt.Errorf("cannot act as the owner of %s, user %d: %w", dir, uid, err)
	}
	if err = do(); errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w (this is done as the owner of the data directory, user %d)", err, uid)
	}
	return err
}

// ownerOf returns who owns a directory, or the nearest one above it that is there, if this is root
// and the owner is not.
func ownerOf(dir string) (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	info, err := os.Stat(Nearest(dir))
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid), ok && st.Uid != 0
}

// groupsOf returns the groups of a user, as far as the system knows them.
func groupsOf(uid, gid int) []int {
	groups := []int{gid}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return groups
	}
	ids, err := u.GroupIds()
	if err != nil {
		return groups
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != gid {
			groups = append(groups, n)
		}
	}
	return groups
}
