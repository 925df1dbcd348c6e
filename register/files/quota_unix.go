//go:build unix

package files

import "syscall"

// errQuota is returned when this user may write no more.
const errQuota = syscall.EDQUOT
