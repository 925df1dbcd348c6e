//go:build !unix

package files

import "syscall"

// errQuota is returned when this user may write no more: no other system tells it apart.
const errQuota = syscall.ENOSPC
