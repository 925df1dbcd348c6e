// Package calendar asks OpenTimestamps calendars, and knows which of them may be asked.
//
// A calendar is a public HTTP server. It takes messages, commits to many of them in one Bitcoin
// transaction, and hands out the path from each message to the block. The interface is that of
// otsd, the reference implementation (github.com/opentimestamps/opentimestamps-server).
//
// [Client] submits messages to calendars and asks them for timestamps. It does not trust them.
// [Whitelist] says which calendars a program may ask: a proof comes from a stranger and can name
// any address. Our own calendar is the package ancre/calendar/server.
package calendar

// The routes of a calendar, below its address.
const (
	PathDigest    = "/digest"     // POST: takes a message, answers its pending timestamp
	PathTimestamp = "/timestamp/" // GET, with the commitment in hexadecimal: answers its timestamp
	PathTip       = "/tip"        // GET: what the newest unconfirmed transaction commits to
)

const (
	// MaxMessage is the longest message that calendars take, in bytes (otsd).
	MaxMessage = 64

	// MaxAnswer is how many bytes of an answer clients read, as the reference implementation does.
	MaxAnswer = 10_000
)
