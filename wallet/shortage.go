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
	All     bool   // everything was to be sent, and there is nothing to send
}

// MissingSats returns how much must be deposited.
func (e *ShortageError) MissingSats() int64 { return e.Missing }

func (e *ShortageError) Error() string {
	if e.All {
		s := fmt.Sprintf("there is nothing to send: %s can be spent now, and the fee would take it", humanize.Sats(e.Have))
		if e.Have == 0 {
			s = "there is nothing to send: no coin can be spent now"
		}
		if e.Waiting > 0 {
			s += fmt.Sprintf(". %s are held for anchors in flight, or are not mined yet: wait until they are", humanize.Sats(e.Waiting))
		}
		return s
	}
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
