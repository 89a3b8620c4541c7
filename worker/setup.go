package worker

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"boxoffice/workflows"
)

// searchAttributes are what the workflows set. The namespace must know all of them before
// the first checkout, or it refuses to start one.
func searchAttributes() map[string]enumspb.IndexedValueType {
	return map[string]enumspb.IndexedValueType{
		workflows.SaleAttribute.GetName():   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		workflows.EndingAttribute.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	}
}

// Setup registers the search attributes that are missing. It may run again.
func Setup(ctx context.Context, c client.Client, namespace string) error {
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if exists := (*serviceerror.AlreadyExists)(nil); errors.As(err, &exists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("register Temporal search attributes in namespace %q: %w", namespace, err)
	}
	return nil
}

// CheckSetup reports whether the namespace is ready for checkouts. The error says what is
// missing and how to add it.
func CheckSetup(ctx context.Context, c client.Client, namespace string) error {
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil {
		return err
	}
	for name := range missing {
		return fmt.Errorf("temporal namespace %q has no search attribute %q: run `boxoffice migrate`", namespace, name)
	}
	return checkKnown(ctx, c, namespace)
}

// checkKnown queries workflows by the attributes. They are listed as soon as they are
// registered, but a frontend knows them only once it has reloaded its namespaces, some
// seconds later. Until then it refuses every start.
func checkKnown(ctx context.Context, c client.Client, namespace string) error {
	query := fmt.Sprintf("%s = 'none' AND %s = 'none'", workflows.SaleAttribute.GetName(), workflows.EndingAttribute.GetName())
	_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: query})
	if err != nil {
		return fmt.Errorf("temporal namespace %q does not know its search attributes yet: %w", namespace, err)
	}
	return nil
}

func missingAttributes(ctx context.Context, c client.Client, namespace string) (map[string]enumspb.IndexedValueType, error) {
	known, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list Temporal search attributes of namespace %q: %w", namespace, err)
	}
	missing := make(map[string]enumspb.IndexedValueType)
	for name, kind := range searchAttributes() {
		got, ok := known.GetCustomAttributes()[name]
		if ok && got != kind {
			return nil, fmt.Errorf("temporal search attribute %q of namespace %q is a %s, want %s: remove it or use another namespace", name, namespace, got, kind)
		}
		if !ok {
			missing[name] = kind
		}
	}
	return missing, nil
}
