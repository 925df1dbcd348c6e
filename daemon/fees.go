package daemon

import (
	"context"
	"time"

	"ancre/batcher/decide"
	"ancre/internal/txsize"
	"ancre/rpc"
	"ancre/spv"
)

// Fees tells what the light client knows of the market, and what the policy makes of it. Facts that
// are not the newest are told with the reason; without any, the reason is all there is.
func (c chainService) Fees(ctx context.Context) (rpc.FeeEstimate, error) {
	fees, err := c.Client.Fees(ctx)
	if err != nil && len(fees.Blocks) == 0 {
		return rpc.FeeEstimate{}, err
	}
	out := feeEstimate(fees, c.policy)
	if err != nil {
		out.Problem = err.Error()
	}
	for i := range out.Blocks {
		header, _, err := c.Client.Header(fees.Blocks[i].Hash)
		if err != nil {
			return rpc.FeeEstimate{}, err
		}
		out.Blocks[i].BlockTime = moment(header.Timestamp)
	}
	if len(out.Blocks) > 0 {
		out.AsOf = out.Blocks[0].BlockTime
	}
	return out, nil
}

// feeSteps is how many equal parts of anchor.target are shown.
const feeSteps = 4

func feeEstimate(fees spv.Fees, p decide.Policy) rpc.FeeEstimate {
	out := rpc.FeeEstimate{
		SatPerVByte:      fees.Estimate,
		AnchorSats:       fees.Estimate * txsize.Anchor,
		FloorSatPerVByte: fees.Floor,
		FloorPeers:       fees.FloorPeers,
	}
	for _, b := range fees.Blocks {
		out.Blocks = append(out.Blocks, rpc.FeeBlock{
			Height:             b.Height,
			BlockHash:          b.Hash.String(),
			Transactions:       b.Transactions,
			Fullness:           b.Fullness,
			AverageSatPerVByte: b.Average,
			CountsSatPerVByte:  b.Counts,
		})
	}
	market := decide.Market{Estimate: fees.Estimate, Floor: fees.Floor}
	for i := range feeSteps + 1 {
		age := p.Target / feeSteps * time.Duration(i)
		rate := min(p.Rate(age, market), p.MaxFeeRate, p.MaxFeeSats/txsize.Anchor)
		out.NextAnchor = append(out.NextAnchor, rpc.FeeStep{
			AfterSeconds: int64(age / time.Second),
			SatPerVByte:  rate,
			AnchorSats:   rate * txsize.Anchor,
		})
	}
	return out
}
