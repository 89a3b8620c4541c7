package worker

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"boxoffice/failpoint"
)

// failpoints puts a failpoint before and after every activity, local ones too. Without
// the build tag there are none.
func failpoints() []interceptor.WorkerInterceptor {
	if !failpoint.Enabled {
		return nil
	}
	return []interceptor.WorkerInterceptor{&failing{}}
}

type failing struct {
	interceptor.WorkerInterceptorBase
}

func (*failing) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &failingActivity{}
	i.Next = next
	return i
}

type failingActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (i *failingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	name := activity.GetInfo(ctx).ActivityType.Name
	failpoint.Before("activity", name)
	result, err := i.Next.ExecuteActivity(ctx, in)
	if err == nil {
		failpoint.After("activity", name)
	}
	return result, err
}
