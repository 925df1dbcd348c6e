package main

import (
	"strings"

	"rsc.io/qr"
)

// qrText draws a QR code with half blocks: two rows of the code in one of the terminal. Colours are
// set, because a camera needs dark on light whatever the terminal's own colours are.
func qrText(text string) (string, error) {
	const (
		quiet  = 2 // modules around the code: half of what the standard asks, and enough on a screen
		colour = "\x1b[97;40m"
		reset  = "\x1b[0m"
	)
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	light := func(x, y int) bool { return !code.Black(x, y) } // outside of the code nothing is black
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString(colour)
		for x := -quiet; x < code.Size+quiet; x++ {
			// The row below the last one belongs to the quiet zone, too.
			switch top, bottom := light(x, y), light(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString(reset + "\n")
	}
	return b.String(), nil
}
