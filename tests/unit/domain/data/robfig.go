//go:build ignore

// Makes robfig.json beside it: what robfig/cron, the parser of Kubernetes' CronJobs, accepts, and when it comes due.
// In a module that requires github.com/robfig/cron/v3 v3.0.1: go run robfig.go > robfig.json
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

type slots struct {
	Schedule string   `json:"schedule"`
	Zone     string   `json:"zone"`
	After    string   `json:"after"`
	Next     []string `json:"next"`
}

func parse(spec string) (schedule cron.Schedule, err error) {
	// Kubernetes recovers, too (util/parsers): "TZ=UTC" without a blank panics
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("panic")
		}
	}()
	return cron.ParseStandard(spec)
}

// next gives up after a second: some texts make robfig turn for ever on a day whose midnight a clock change skips.
func next(schedule cron.Schedule, at time.Time) (time.Time, bool) {
	found := make(chan time.Time, 1)
	go func() { found <- schedule.Next(at) }()
	select {
	case slot := <-found:
		return slot, true
	case <-time.After(time.Second):
		return time.Time{}, false
	}
}

var random = rand.New(rand.NewSource(1))

func field(least, greatest int, names []string) string {
	number := func() string {
		n := least + random.Intn(greatest-least+1)
		if names != nil && random.Intn(3) == 0 {
			return names[n-least]
		}
		return fmt.Sprint(n)
	}
	entry := func() string {
		switch random.Intn(9) {
		case 0, 1:
			return "*"
		case 2:
			return "?"
		case 3:
			return fmt.Sprintf("*/%d", 1+random.Intn(greatest))
		case 4:
			return number() + "-" + number()
		case 5:
			return number() + "-" + number() + fmt.Sprintf("/%d", 1+random.Intn(5))
		case 6:
			return number() + fmt.Sprintf("/%d", 1+random.Intn(9))
		}
		return number()
	}
	text := entry()
	for random.Intn(4) == 0 {
		text += "," + entry()
	}
	return text
}

func main() {
	months := []string{"jan", "FEB", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "MON", "Tue", "wed", "thu", "fri", "sat"}
	specs := []string{
		"0 2 * * *", "30 2 * * *", "*/15 * * * *", "0 0 * * *", "30 0 * * *", "0 * * * *", "15,45 1-3 * * *", "0 0 29 2 *",
		"0 3 */2 * MON", "0 3 1,15 * FRI", "0 3 ? * SUN", "0 0 31 * *", "@hourly", "@daily", "@midnight", "@weekly",
		"@monthly", "@yearly", "@annually", "59 23 31 12 *", "0 12 * 6-8 1-5", "05 03 * * *", "5-5/10 1 * * *", "5/10 1 * * *",
		"*/90 4 * * *", "0 0 *,5 * MON", "0 0 */1 * MON", "\t0  0\t* * *\n",
		"", " ", "@Daily", "@reboot", " @daily", "@daily ", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *",
		"* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 7", "* * * * 5-7", "* * * * FRI-MON", "* * L * *", "* * 15W * *",
		"* * * * 5L", "* * * * 1#2", "*/0 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "a * * * *", "-1 * * * *", "1- * * * *",
		"*/ * * * *", "/5 * * * *", "1.5 * * * *", "\u0661 * * * *", "MON * * * *", "* * * MON *", "* * * * JAN", "* * * january *",
		"TZ=UTC", "0\u00a00 * * *", "0\u001c0 * * *", "1,,2 * * * *", ", * * * *", "*-5 * * * *", "+5 * * * *", "@every 1h",
		"@every -1h", "0 0 30 2 *", "0 0 30 2 MON",
	}
	for range 300 {
		specs = append(specs, field(0, 59, nil)+" "+field(0, 23, nil)+" "+field(1, 31, nil)+" "+field(1, 12, months)+" "+field(0, 6, days))
	}
	accepted := map[string]bool{}
	due := []slots{}
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"}
	starts := []string{
		"2026-11-21T20:00:00Z", "2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z", "2026-03-08T03:00:00Z", "2026-11-01T02:00:00Z",
		"2026-04-04T12:00:00Z", "2026-10-03T12:00:00Z", "2027-12-31T22:30:00Z", "2028-02-28T23:59:59Z", "2011-12-29T20:00:00Z",
	}
	for index, spec := range specs {
		_, err := parse(spec)
		accepted[spec] = err == nil
		if err != nil || len(spec) > 0 && spec[0] == '@' && spec[1] == 'e' {
			continue
		}
		for start, text := range starts {
			if index >= 28 && (index+start)%5 != 0 {
				continue
			}
			zone := zones[(index+start)%len(zones)]
			schedule, err := parse("TZ=" + zone + " " + spec)
			if err != nil {
				panic(spec + ": " + err.Error())
			}
			after, _ := time.Parse(time.RFC3339, text)
			entry := slots{Schedule: spec, Zone: zone, After: text, Next: []string{}}
			for at := after; len(entry.Next) < 4; {
				slot, ended := next(schedule, at)
				if !ended {
					fmt.Fprintln(os.Stderr, "endless:", spec, zone, at)
				}
				if slot.IsZero() {
					break
				}
				at = slot
				entry.Next = append(entry.Next, at.UTC().Format(time.RFC3339))
			}
			due = append(due, entry)
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"accepted": accepted, "due": due}); err != nil {
		panic(err)
	}
}
