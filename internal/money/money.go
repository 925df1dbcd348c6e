// Package money puts satoshi into words: what an amount is worth in the operator's currency, how
// long it lasts, and how much somebody should send to the wallet. It is pure: it asks no price
// service and reads no clock.
package money

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"ancre/internal/humanize"
)

// satsPerBTC is how many satoshi one bitcoin has.
const satsPerBTC = 100_000_000

// Price is what one bitcoin costs, as the operator writes it in the configuration: "60000 EUR". It
// is only for display. Empty means that there is none, and that amounts are shown in satoshi alone.
type Price string

// CheckPrice returns the price that a text says, or what a price must look like.
func CheckPrice(s string) (Price, error) {
	if _, _, ok := Price(s).parts(); !ok {
		return "", errors.New(`must be what one bitcoin costs, as a number, a space and a currency, such as "60000 EUR" or "59500.50 CHF"`)
	}
	return Price(s), nil
}

var priceForm = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,8})?) (\S{1,8})$`)

// parts returns what one bitcoin costs, and in which currency.
func (p Price) parts() (perBTC float64, currency string, ok bool) {
	m := priceForm.FindStringSubmatch(string(p))
	if m == nil || strings.ContainsFunc(m[2], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.Is(unicode.Sc, r) }) {
		return 0, "", false
	}
	perBTC, err := strconv.ParseFloat(m[1], 64)
	return perBTC, m[2], err == nil && perBTC > 0
}

// Worth writes what an amount is worth: "≈ 12.00 EUR". It is empty without a price.
func (p Price) Worth(sats int64) string {
	perBTC, currency, ok := p.parts()
	if !ok {
		return ""
	}
	cents := int64(math.Round(math.Abs(float64(sats)) / satsPerBTC * perBTC * 100))
	if cents == 0 && sats != 0 {
		return "< 0.01 " + currency
	}
	sign := ""
	if sats < 0 {
		sign = "-"
	}
	return fmt.Sprintf("≈ %s%s.%02d %s", sign, humanize.Count(cents/100), cents%100, currency)
}

// Sats writes an amount for a person: "20,000 sat (≈ 12.00 EUR)", or "20,000 sat" without a price.
func (p Price) Sats(sats int64) string {
	if worth := p.Worth(sats); worth != "" {
		return humanize.Sats(sats) + " (" + worth + ")"
	}
	return humanize.Sats(sats)
}

// amount finds amounts as [humanize.Sats] writes them, and no fee rates: a rate goes on with "/vB".
var amount = regexp.MustCompile(`(-?\d[\d,]*) sat\b(/vB)?`)

// Annotate adds to each amount of a sentence what it is worth. The rooms write their warnings
// without knowing the price.
func (p Price) Annotate(sentence string) string {
	if _, _, ok := p.parts(); !ok {
		return sentence
	}
	return amount.ReplaceAllStringFunc(sentence, func(found string) string {
		digits := strings.ReplaceAll(strings.TrimSuffix(found, " sat"), ",", "")
		sats, err := strconv.ParseInt(digits, 10, 64)
		if err != nil { // a fee rate
			return found
		}
		return p.Sats(sats)
	})
}

// BTC writes an amount in bitcoin, as exchanges ask for it: "0.0002 BTC".
func BTC(sats int64) string {
	whole, rest := sats/satsPerBTC, sats%satsPerBTC
	text := strings.TrimRight(fmt.Sprintf("%d.%08d", whole, rest), "0")
	return strings.TrimSuffix(text, ".") + " BTC"
}
