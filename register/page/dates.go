package page

import (
	"fmt"
	"html/template"
	"strconv"
	"time"
)

// nbsp is a space at which no line breaks.
const nbsp = "\u00a0"

var (
	daysFR   = [...]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"}
	monthsFR = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}
)

// monthText writes a month: "juillet 2026", "July 2026".
func monthText(l Lang, t time.Time) string {
	if l == English {
		return t.Format("January 2006")
	}
	return monthsFR[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// dayText writes a day: "mardi 15 décembre 2026", "Tuesday 15 December 2026".
func dayText(l Lang, t time.Time) string {
	if l == English {
		return t.Format("Monday") + " " + shortDay(l, t)
	}
	return daysFR[t.Weekday()] + " " + shortDay(l, t)
}

// shortDay writes a day without its name: "1er janvier 2027", "1 January 2027".
func shortDay(l Lang, t time.Time) string {
	day := strconv.Itoa(t.Day())
	if l == French && t.Day() == 1 {
		day = "1er"
	}
	return day + nbsp + monthText(l, t)
}

// clockText writes a time of day: "18 h 30", "18:30".
func clockText(l Lang, t time.Time) string {
	if l == English {
		return t.Format("15:04")
	}
	if t.Minute() == 0 {
		return strconv.Itoa(t.Hour()) + nbsp + "h"
	}
	return fmt.Sprintf("%d%[2]sh%[2]s%02[3]d", t.Hour(), nbsp, t.Minute())
}

// momentText writes day and time: "mardi 15 décembre 2026 à 18 h 30", "Tuesday 15 December 2026,
// 18:30".
func momentText(l Lang, t time.Time, day func(Lang, time.Time) string) string {
	if l == English {
		return day(l, t) + ", " + clockText(l, t)
	}
	return day(l, t) + " à" + nbsp + clockText(l, t)
}

// timeTag wraps a text in an element that says the time to machines.
func timeTag(machine, text string) template.HTML {
	return template.HTML(`<time datetime="` + template.HTMLEscapeString(machine) + `">` + template.HTMLEscapeString(text) + `</time>`)
}

// Moment shows a time with its day, in the zone of the page.
func (v *view) Moment(t time.Time) template.HTML {
	t = t.In(v.zone)
	return timeTag(t.Format(time.RFC3339), momentText(v.Address.Lang, t, shortDay))
}

// Day shows the day of a time, in the zone of the page.
func (v *view) Day(t time.Time) template.HTML {
	t = t.In(v.zone)
	return timeTag(t.Format(time.DateOnly), shortDay(v.Address.Lang, t))
}

// UTC shows a time in UTC: "14 décembre 2026 à 17 h 30 UTC".
func (v *view) UTC(t time.Time) template.HTML {
	t = t.UTC()
	return timeTag(t.Format(time.RFC3339), momentText(v.Address.Lang, t, shortDay)+nbsp+"UTC")
}

// Number writes a number with separators of thousands.
func (v *view) Number(n any) string {
	var digits string
	switch n := n.(type) {
	case int:
		digits = strconv.Itoa(n)
	case int32:
		digits = strconv.Itoa(int(n))
	case int64:
		digits = strconv.FormatInt(n, 10)
	default:
		return fmt.Sprint(n)
	}
	space := "\u202f" // French: a narrow space
	if v.Address.Lang == English {
		space = ","
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + space + digits[i:]
	}
	return digits
}

// Size writes a number of bytes: "12,3 ko", "12.3 kB".
func (v *view) Size(n int64) string {
	units, point := []string{"octets", "ko", "Mo", "Go", "To"}, ","
	if v.Address.Lang == English {
		units, point = []string{"bytes", "kB", "MB", "GB", "TB"}, "."
	}
	if n < 1000 {
		if n <= 1 {
			return strconv.FormatInt(n, 10) + nbsp + units[0][:len(units[0])-1]
		}
		return strconv.FormatInt(n, 10) + nbsp + units[0]
	}
	f, unit := float64(n), 0
	for f >= 999.5 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	text := strconv.FormatFloat(f, 'f', 0, 64)
	if f < 9.95 {
		text = strconv.FormatFloat(f, 'f', 1, 64)
		text = text[:1] + point + text[2:]
	}
	return text + nbsp + units[unit]
}
