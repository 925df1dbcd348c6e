package wallet

import (
	"fmt"

	"ancre/internal/humanize"
)

// ShortageError says that the wallet does not have enough coins.
type ShortageError struct {
	For     string // what could not be paid
	Missing int64  // the smallest deposit that is enough; in satoshi, as all below
	Cost    int64  // the cost with all coins that can be spent now, and that deposit
	Have    int64  // coins that can be spent on it now
	Waiting int64  // coins that can be spent later: not mined, or held for anchors in flight
	Address string // where to send the deposit; may be empty
}

// MissingSats returns how much must be deposited.
func (e *ShortageError) MissingSats() int64 { return e.Missing }

func (e *ShortageError) Error() string {
	s := fmt.Sprintf("the wallet lacks %s for %s (%s can be spent on it now)", humanize.Sats(e.Missing), e.For, humanize.Sats(e.Have))
	if e.Waiting > 0 {
		s += fmt.Sprintf(": wait until the %s of transactions in flight are mined, or", humanize.Sats(e.Waiting))
	} else {
		s += ":"
	}
	to := e.Address
	if to == "" {
		to = "the address that `ancre wallet address` shows"
	}
	return s + " send bitcoin to " + to
}
