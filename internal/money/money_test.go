package money

import "testing"

func TestPrices(t *testing.T) {
	for price, want := range map[Price]string{
		"60000 EUR":     "20,000 sat (≈ 12.00 EUR)",
		"59500.25 CHF":  "20,000 sat (≈ 11.90 CHF)",
		"60000 €":       "20,000 sat (≈ 12.00 €)",
		"9000000 JPY":   "20,000 sat (≈ 1,800.00 JPY)",
		"0.00000001 XX": "20,000 sat (< 0.01 XX)",
		"":              "20,000 sat",
	} {
		if price != "" {
			if p, err := CheckPrice(string(price)); err != nil || p != price {
				t.Errorf("%s: %v", price, err)
			}
		}
		if got := price.Sats(20_000); got != want {
			t.Errorf("%s: %q, want %q", price, got, want)
		}
	}
	for _, wrong := range []string{"", "60000", "EUR", "60000EUR", "60,000 EUR", "60 000 EUR", "-1 EUR", "0 EUR", "1e5 EUR", "60000  EUR", "60000 EUR ",
		"60000 E\x1bR", "60000 EUREUREUR", "60000 (x)", "9999999999999 EUR", "NaN EUR"} {
		if p, err := CheckPrice(wrong); err == nil {
			t.Errorf("%q is a price: %s", wrong, p)
		}
		if got := Price(wrong).Sats(5); got != "5 sat" {
			t.Errorf("%q: %s", wrong, got)
		}
	}
	for sats, want := range map[int64]string{0: "≈ 0.00 EUR", 1: "< 0.01 EUR", -1: "< 0.01 EUR", 153: "≈ 0.09 EUR", -306: "≈ -0.18 EUR", 21e14: "≈ 1,260,000,000,000.00 EUR"} {
		if got := Price("60000 EUR").Worth(sats); got != want {
			t.Errorf("%d: %q, want %q", sats, got, want)
		}
	}
}

func TestAnnotate(t *testing.T) {
	const eur = Price("60000 EUR")
	for text, want := range map[string]string{
		"the wallet lacks 3,900 sat for an anchor at 50 sat/vB (0 sat can": "the wallet lacks 3,900 sat (≈ 2.34 EUR) for an anchor at 50 sat/vB (0 sat (≈ 0.00 EUR) can",
		"it pays 1,000 sat, and 40 sat/vB":                                 "it pays 1,000 sat (≈ 0.60 EUR), and 40 sat/vB",
		"nothing to see: 5 satellites, block 900,000":                      "nothing to see: 5 satellites, block 900,000",
		"99999999999999999999 sat":                                         "99999999999999999999 sat",
		"":                                                                 "",
	} {
		if got := eur.Annotate(text); got != want {
			t.Errorf("%q became\n%q, want\n%q", text, got, want)
		}
		if got := Price("").Annotate(text); got != text {
			t.Errorf("without a price, %q became %q", text, got)
		}
	}
}

func TestBTC(t *testing.T) {
	for sats, want := range map[int64]string{20_000: "0.0002 BTC", 1: "0.00000001 BTC", 100_000_000: "1 BTC", 150_000_000: "1.5 BTC", 1_000_000_000: "10 BTC", 0: "0 BTC"} {
		if got := BTC(sats); got != want {
			t.Errorf("%d: %q, want %q", sats, got, want)
		}
	}
}
