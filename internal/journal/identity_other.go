//go:build !unix

package journal

import "os"

// identity is for systemd, and systemd is for Linux.
func identity(*os.File) (string, bool) { return "", false }
