/** The workload of Windmill's published benchmark: naive recursion. */
export function fibo(n: number): number {
  return n <= 1 ? n : fibo(n - 1) + fibo(n - 2);
}
