import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

const client = createClient<paths>({ baseUrl: "https://example.com" });

export async function pay(order: string, key: string): Promise<string> {
  const { data, error } = await client.POST("/api/payments/", {
    params: { header: { "Idempotency-Key": key } },
    body: { order, channel: "OMCIV2", return_to: "maboutique://paid/{reference}" },
  });
  if (data) return data.checkout_url;
  const problem: components["schemas"]["Problem"] = error;
  throw new Error(`${problem.type}: ${problem.detail}`);
}

export async function outcome(reference: string): Promise<components["schemas"]["PaymentStatus"]> {
  const { data } = await client.GET("/api/payments/{reference}/", { params: { path: { reference } } });
  if (!data) throw new Error("there is no such payment");
  const francs: number = data.amount;
  const settledAt: string | null = data.settled_at;
  return francs > 0 && settledAt ? data.status : "pending";
}

export async function paid(order: string): Promise<number> {
  const { data } = await client.GET("/api/payments/", { params: { query: { status: ["succeeded"], order } } });
  return data?.results.length ?? 0;
}

export async function wrong(): Promise<void> {
  // @ts-expect-error the shop decides the amount
  await client.POST("/api/payments/", { body: { order: "42", amount: 1 } });
}
