//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

const (
	withoutWaiting = 0
	canSyncDir     = false
)

// isOwn: making a symbolic link takes a privilege here.
func isOwn(fs.FileInfo) bool { return true }

// giveTo: a new file inherits its owner and its rights from the directory here.
func giveTo(*os.File, fs.FileInfo) bool { return true }

func chmod(*os.File, fs.FileMode) error { return nil }

func isDescriptor(string) bool { return false }
