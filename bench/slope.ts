/** Exponent of the power law that fits best, by least squares of the logarithms. */
export function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const [logX, logY] = [xs.map(Math.log), ys.map(Math.log)];
  const [meanX, meanY] = [mean(logX), mean(logY)];
  const covariance = mean(logX.map((x, i) => (x - meanX) * (logY[i]! - meanY)));
  return covariance / mean(logX.map((x) => (x - meanX) ** 2));
}

const mean = (all: readonly number[]) => all.reduce((sum, value) => sum + value, 0) / all.length;
