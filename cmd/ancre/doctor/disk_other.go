//go:build !(linux || darwin || freebsd)

package doctor

// diskAt does not know how to ask this system.
func diskAt(string) Fact[Disk] { return Missing[Disk]("ancre cannot ask this system for free space") }
