// Package wake lets one goroutine tell another to look again, without waiting for it.
package wake

// New returns what a goroutine waits on. It has room for one value: what is told twice before the
// goroutine looks is told once.
func New() chan struct{} { return make(chan struct{}, 1) }

// Up lets the goroutine that waits on c go on, now or when it comes to wait.
func Up(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
