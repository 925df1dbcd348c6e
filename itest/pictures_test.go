package itest

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ancre/itest/harness/browser"
)

var picturesFlag = flag.String("pictures", "", "make the pictures of the public page anew, in this `directory` (make pictures)")

// pictures is where the pictures are, and where the guide shows them.
const (
	pictures      = "../docs/pictures"
	picturesGuide = "../docs/pictures.md"
	mostPictures  = 3 << 20 // bytes, of all
)

// TestPictures makes the pictures of the public page with the flag -pictures. Without it, it wants
// the guide to show each picture, and each picture to be there.
func TestPictures(t *testing.T) {
	if *picturesFlag != "" {
		takePictures(t, *picturesFlag)
		return
	}
	shown := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\]\(pictures/([^)]+\.png)\)`).FindAllStringSubmatch(readFile(t, picturesGuide), -1) {
		shown[m[1]] = true
	}
	var total int64
	files, err := filepath.Glob(pictures + "/*.png")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
		if name := filepath.Base(path); !shown[name] {
			t.Errorf("%s does not show %s", picturesGuide, name)
		}
		delete(shown, filepath.Base(path))
	}
	if total > mostPictures {
		t.Errorf("the pictures have %d bytes, and %d are allowed", total, mostPictures)
	}
	for name := range shown {
		t.Errorf("%s shows %s, which is not there: run make pictures", picturesGuide, name)
	}
}

// takePictures writes each picture in both languages, in a wide and in a narrow window.
func takePictures(t *testing.T, dir string) {
	c := newCouncil(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := publicPage{council: c, site: &crawled{base: c.register.URL()}}
	held, digest := c.meetings["held"], c.named("2026-041-tarifs-cantine.pdf").digest
	addresses := map[string]map[string]string{
		"home":        {"en": "/en/", "fr": "/fr/"},
		"meetings":    {"en": "/en/meetings", "fr": "/fr/seances"},
		"meeting":     {"en": "/en/meetings/" + held, "fr": "/fr/seances/" + held},
		"document":    {"en": "/en/documents/" + digest, "fr": "/fr/documents/" + digest},
		"attestation": {"en": "/en/documents/" + digest + "/attestation", "fr": "/fr/documents/" + digest + "/attestation"},
	}
	kinds := map[string]check{}
	for _, c := range p.checks() {
		if _, have := kinds[c.result]; !have {
			kinds[c.result] = c
		}
	}
	chromium := browser.Start(t)
	for window, viewport := range map[string]browser.Viewport{"wide": browser.Wide, "narrow": browser.Narrow} {
		tab := chromium.Open(t, viewport)
		take := func(name, lang string) {
			path := filepath.Join(dir, strings.Join([]string{name, lang, window}, "-")+".png")
			tab.Screenshot(path)
			if err := shrink(path); err != nil {
				t.Fatal(err)
			}
		}
		for name, address := range addresses {
			for lang, path := range address {
				tab.Go(c.register.URL() + path)
				take(name, lang)
			}
		}
		for result, check := range kinds {
			for lang, path := range toolPages {
				tab.Go(c.register.URL() + path)
				tab.Upload("input[type=file]", check.files...)
				tab.AwaitText(tool, results[lang][result])
				take("result-"+result, lang)
			}
		}
	}
}

// shrink writes a picture again with few colours, in some quarter of the bytes. Pages have
// few colours: text makes the others.
func shrink(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	full, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, fewColours(full)); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// mostColours is how many colours a picture has.
const mostColours = 48

// fewColours keeps the most frequent colours, and replaces each other one by the nearest.
func fewColours(full image.Image) *image.Paletted {
	bounds := full.Bounds()
	count := make(map[color.RGBA]int)
	each := func(do func(x, y int, c color.RGBA)) {
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				do(x, y, color.RGBAModel.Convert(full.At(x, y)).(color.RGBA))
			}
		}
	}
	each(func(_, _ int, c color.RGBA) { count[c]++ })
	frequent := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range frequent[:min(mostColours, len(frequent))] {
		palette = append(palette, c)
	}
	nearest := make(map[color.RGBA]uint8)
	for c := range count {
		nearest[c] = uint8(palette.Index(c))
	}
	few := image.NewPaletted(bounds, palette)
	each(func(x, y int, c color.RGBA) { few.SetColorIndex(x, y, nearest[c]) })
	return few
}
