// Reads a run of whole bursts (16 beats of 8 bytes) from memory. Addresses are multiples of 128,
// so no burst crosses a 4 KiB boundary. Beats are always taken at once.
module reader #(
    parameter integer MOST_OUTSTANDING = 4
) (
    input  wire        clock,
    input  wire        reset,
    input  wire        request,
    input  wire [31:0] address,
    input  wire [15:0] bursts,
    output wire        idle,
    output wire        beat_valid,
    output wire [63:0] beat,
    output wire        failed,
    output reg  [31:0] m_axi_araddr,
    output reg         m_axi_arvalid,
    input  wire        m_axi_arready,
    input  wire [63:0] m_axi_rdata,
    input  wire [1:0]  m_axi_rresp,
    input  wire        m_axi_rlast,
    input  wire        m_axi_rvalid,
    output wire        m_axi_rready
);
    reg [15:0] to_ask, to_come;
    reg [2:0]  outstanding;

    wire asked = m_axi_arvalid && m_axi_arready;
    wire came  = m_axi_rvalid && m_axi_rlast;

    assign idle         = to_come == 16'd0;
    assign m_axi_rready = 1'b1;
    assign beat_valid   = m_axi_rvalid;
    assign beat         = m_axi_rdata;
    assign failed       = m_axi_rvalid && m_axi_rresp != 2'b00;

    always @(posedge clock) begin
        if (reset) begin
            to_ask        <= 16'd0;
            to_come       <= 16'd0;
            outstanding   <= 3'd0;
            m_axi_arvalid <= 1'b0;
            m_axi_araddr  <= 32'd0;
        end else if (request && idle) begin
            to_ask       <= bursts;
            to_come      <= bursts;
            m_axi_araddr <= address;
        end else begin
            outstanding <= outstanding + {2'd0, asked} - {2'd0, came};
            if (came) to_come <= to_come - 16'd1;
            if (asked) begin
                m_axi_arvalid <= 1'b0;
                m_axi_araddr  <= m_axi_araddr + 32'd128;
                to_ask        <= to_ask - 16'd1;
            end else if (!m_axi_arvalid && to_ask != 16'd0
                         && outstanding < MOST_OUTSTANDING[2:0]) begin
                m_axi_arvalid <= 1'b1;
            end
        end
    end
endmodule
