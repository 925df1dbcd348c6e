package attestation

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"rsc.io/qr"
)

// Measures of the sheet, in millimetres; sizes of letters are in points.
const (
	margin    = 20.0
	nameWidth = 45.0 // of a table's first column
	lineWidth = 210 - 2*margin
	qrSide    = 28.0

	regular = "Go"
	mono    = "Go Mono"
)

// PDF returns the attestation as a PDF, with the proof attached and a QR code of the permalink. The
// same attestation gives the same bytes. It is neither PDF/A nor tagged: the web page with the same
// sentences is for archives and for screen readers.
func (t *Text) PDF() ([]byte, error) {
	p := &sheet{fpdf.New("P", "mm", "A4", "")}
	p.describe(t)
	// fpdf writes into the font that it is given (getMetrics appends to a piece of it): each PDF
	// has its own copies.
	p.AddUTF8FontFromBytes(regular, "", bytes.Clone(goregular.TTF))
	p.AddUTF8FontFromBytes(regular, "B", bytes.Clone(gobold.TTF))
	p.AddUTF8FontFromBytes(mono, "", bytes.Clone(gomono.TTF))
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.SetFooterFunc(func() { p.footer(t) })
	p.AddPage()
	if err := p.head(t); err != nil {
		return nil, err
	}
	for _, s := range t.Sections {
		p.section(s)
	}
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		return nil, fmt.Errorf("make the PDF attestation of %s: %w", t.facts.Digest, err)
	}
	return b.Bytes(), nil
}

// sheet is a PDF in the making.
type sheet struct{ *fpdf.Fpdf }

// describe sets what the PDF says of itself. Its dates come from the facts, so that it is the same
// each time.
func (p *sheet) describe(t *Text) {
	at := t.facts.Proof.AddedAt
	if t.facts.anchored() {
		at = t.facts.Proof.BlockTime
	}
	p.SetCreationDate(at.UTC())
	p.SetModificationDate(at.UTC())
	p.SetCatalogSort(true)
	p.SetProducer("ancre-register", true)
	p.SetTitle(t.Title+" – "+drawable(t.Subject), true)
	p.SetAuthor(drawable(t.facts.Authority), true)
	p.SetSubject("SHA-256 "+t.facts.Digest.String(), true)
	p.SetLang(t.Lang)
	if len(t.facts.OTS) > 0 {
		p.SetAttachments([]fpdf.Attachment{{
			Content: t.facts.OTS, Filename: t.facts.Digest.String() + ".ots", Description: "OpenTimestamps",
		}})
	}
}

func (p *sheet) head(t *Text) error {
	const beside = lineWidth - qrSide - 5
	p.SetFont(regular, "", 10)
	p.MultiCell(beside, 5, drawable(t.facts.Authority), "", "L", false)
	p.SetFont(regular, "B", 18)
	p.MultiCell(beside, 9, t.Title, "", "L", false)
	p.SetFont(regular, "", 12)
	p.MultiCell(beside, 6, drawable(t.Subject), "", "L", false)
	below := max(p.GetY(), margin+qrSide+9) + 3

	if t.facts.Permalink != "" {
		if err := p.qr(t.facts.Permalink, 210-margin-qrSide, margin, qrSide); err != nil {
			return err
		}
		p.SetFont(regular, "", 7)
		p.SetXY(210-margin-qrSide-10, margin+qrSide+1)
		p.MultiCell(qrSide+10, 3, t.QRLabel, "", "R", false)
	}
	p.SetXY(margin, below)
	p.SetFont(regular, "B", 12)
	p.SetFillColor(235, 240, 245)
	p.MultiCell(0, 7, t.Verdict, "", "L", true)
	return p.Error()
}

// qr draws a QR code, in a square of that side.
func (p *sheet) qr(text string, x, y, side float64) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("draw the address %q as a QR code: %w", text, err)
	}
	module := side / float64(code.Size)
	p.SetFillColor(0, 0, 0)
	for row := range code.Size {
		for from := 0; from < code.Size; from++ { // one rectangle for each run of black modules
			to := from
			for to < code.Size && code.Black(to, row) {
				to++
			}
			if to > from {
				p.Rect(x+float64(from)*module, y+float64(row)*module, float64(to-from)*module, module, "F")
				from = to
			}
		}
	}
	p.LinkString(x, y, side, side, text)
	return nil
}

func (p *sheet) section(s Section) {
	p.Ln(3)
	if p.GetY() > 297-margin-25 { // a heading is not left alone at the foot of a page
		p.AddPage()
	}
	p.SetFont(regular, "B", 12)
	p.MultiCell(0, 7, s.Heading, "", "L", false)
	p.SetFont(regular, "", 9.5)
	for _, text := range s.Paragraphs {
		p.MultiCell(0, 4.6, drawable(text), "", "L", false)
		p.Ln(1)
	}
	for _, r := range s.Rows {
		p.row(r)
	}
	for i, text := range s.Points {
		mark := "–"
		if s.Numbered {
			mark = fmt.Sprintf("%d.", i+1)
		}
		p.SetFont(regular, "", 9.5)
		p.CellFormat(6, 4.6, mark, "", 0, "L", false, 0, "")
		p.SetLeftMargin(margin + 6)
		p.MultiCell(0, 4.6, drawable(text), "", "L", false)
		p.SetLeftMargin(margin)
		p.Ln(0.8)
	}
}

func (p *sheet) row(r Row) {
	p.SetFont(regular, "", 9.5)
	top := p.GetY()
	p.MultiCell(nameWidth, 4.8, r.Name, "", "L", false)
	below := p.GetY()
	if below < top { // the name began a new page
		top = margin
	}
	p.SetXY(margin+nameWidth, top)
	p.SetLeftMargin(margin + nameWidth)
	if r.Exact {
		p.SetFont(mono, "", 8.5)
	}
	p.MultiCell(0, 4.8, drawable(r.Value), "", "L", false)
	p.SetLeftMargin(margin)
	p.SetXY(margin, max(p.GetY(), below))
}

func (p *sheet) footer(t *Text) {
	p.SetY(-12)
	p.SetFont(mono, "", 7)
	p.CellFormat(0, 4, t.facts.Digest.String(), "", 0, "L", false, 0, "")
	p.SetFont(regular, "", 7)
	p.CellFormat(0, 4, fmt.Sprint(p.PageNo()), "", 0, "R", false, 0, "")
}

// drawable replaces what the fonts have no picture of, and what would change the direction of the
// text around it. The digest is what identifies a file, and the web page shows its name whole.
func drawable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case !unicode.IsPrint(r) && r != '\u00a0' || r == utf8.RuneError || !hasGlyph(r):
			return '?'
		}
		return r
	}, s)
}

var parsed, _ = sfnt.Parse(gomono.TTF)

// hasGlyph reports whether the fonts can draw a character. All of the Go fonts have the same ones.
func hasGlyph(r rune) bool {
	var b sfnt.Buffer
	i, err := parsed.GlyphIndex(&b, r)
	return err == nil && i != 0
}
