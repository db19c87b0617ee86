package wheel_test

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

func Example() {
	var w wheel.Wheel
	w.Add(100, 1)
	second := w.Add(200, 2)
	w.Add(5000, 3)
	w.Move(second, 50)

	for now := wheel.Tick(0); w.Len() > 0; now += 1000 {
		for {
			key, ok := w.Expire(now)
			if !ok {
				break
			}
			fmt.Println("tick", now, "timer", key)
		}
	}
	// Output:
	// tick 1000 timer 2
	// tick 1000 timer 1
	// tick 5000 timer 3
}
