package datadir

// Room on the disk, in bytes. The store, "ancred check" and "ancre doctor" agree on it.
const (
	// Reserve stays free: with less, the store accepts no digests.
	Reserve = 256 << 20

	// LowSpace is how much should be free. A person is told below it.
	LowSpace = 8 * Reserve
)
