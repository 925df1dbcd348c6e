package atomicfile

import (
	"io/fs"
	"time"
)

// Identity tells a file that has changed from one that has not, without reading it, as far as the
// system tells. What the system does not tell is 0.
//
// The number of the device is not in it: it may be another one after a restart of the machine.
type Identity struct {
	Size     int64
	Modified int64  // the time of the last change of the content, in nanoseconds; programs can set it
	Changed  int64  // the time at which content or description last changed; no program can set it
	Inode    uint64 // the file's number in its file system
}

// Identify returns the identity of a file that was described.
func Identify(info fs.FileInfo) Identity {
	return Identity{info.Size(), info.ModTime().UnixNano(), changeTime(info), inode(info)}
}

// LastChange returns when the file last changed, as far as the system tells.
func (i Identity) LastChange() time.Time {
	if i.Changed != 0 {
		return time.Unix(0, i.Changed)
	}
	return time.Unix(0, i.Modified)
}

// Now returns the time by the clock of the directory's file system: a server on the network may
// have another time than this machine. Where no file can be made, it is this machine's time.
func (d *Dir) Now() time.Time {
	n, err := d.New(privateMode)
	if err != nil {
		return time.Now()
	}
	defer n.Discard()
	info, err := n.f.Stat()
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// IsOwn reports whether a file belongs to the user that this process runs as, or to root.
func IsOwn(info fs.FileInfo) bool { return isOwn(info) }
